import { MalformedError } from '../../bytes/malformed-error.js';
import { isSpace, type XmlElement } from './xml.js';

/** The elements in an element that has no text of its own. */
export function elementsIn(element: XmlElement): XmlElement[] {
  return element.children.flatMap((child) => {
    if (typeof child !== 'string') return [child];
    if (!isSpace(child)) throw new MalformedError(`${element.local}: text where elements are expected`);
    return [];
  });
}

/** The text of an element that has no others in it. */
export function textIn(element: XmlElement): string {
  return element.children
    .map((child) => {
      if (typeof child !== 'string') throw new MalformedError(`${element.local}: an element where text is expected`);
      return child;
    })
    .join('');
}

/** Demands these elements of one namespace, in this order, and no others. */
export function childrenNamed<const Names extends readonly string[]>(
  element: XmlElement,
  namespace: string,
  names: Names,
): { readonly [Index in keyof Names]: XmlElement } {
  const children = elementsIn(element);
  const fits = names.every((name, index) => isNamed(children[index], namespace, name));
  if (!fits || children.length !== names.length) {
    throw new MalformedError(`${element.local}: other elements than ${names.join(', ')}`);
  }
  return children as unknown as { readonly [Index in keyof Names]: XmlElement };
}

export function isNamed(element: XmlElement | undefined, namespace: string, local: string): boolean {
  return element?.namespace === namespace && element.local === local;
}

/** The attributes by name, all of which must be without namespace and among those named. */
export function attributesNamed<Name extends string>(
  element: XmlElement,
  names: readonly Name[],
): Readonly<Record<Name, string>> {
  const found = attributesIn(element, '');
  if (element.attributes.length !== names.length || !names.every((name) => found.has(name))) {
    throw new MalformedError(`${element.local}: other attributes than ${names.join(', ') || 'none'}`);
  }
  return Object.fromEntries(found) as Record<Name, string>;
}

/** The attributes of one namespace, '' for those without. */
export function attributesIn(element: XmlElement, namespace: string): ReadonlyMap<string, string> {
  return new Map(
    element.attributes.filter((one) => one.namespace === namespace).map(({ local, value }) => [local, value]),
  );
}
