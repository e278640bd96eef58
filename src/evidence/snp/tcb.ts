import { MalformedError } from '../../bytes/malformed-error.js';
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';
import { TCB_COMPONENTS, TCB_LAYOUT, type TcbComponent } from './constants.js';

/** Security version numbers, 0 to 255, of the parts that a generation has. There is no order but that of each part. */
export type Tcb = Readonly<Partial<Record<TcbComponent, number>>>;

/** TCB_VERSION, eight bytes, as this generation writes it. Throws MalformedError for reserved bytes that are not zero. */
export function parseTcb(bytes: Buffer, generation: AmdGeneration, field: string): Tcb {
  const tcb: Partial<Record<TcbComponent, number>> = {};
  for (const [index, component] of TCB_LAYOUT[generation].entries()) {
    const value = bytes[index];
    if (value === undefined) throw new MalformedError(`${field}: cut short`);
    if (component !== undefined) tcb[component] = value;
    else if (value !== 0) throw new MalformedError(`${field}: a reserved byte is not zero`);
  }
  return tcb;
}

/** The parts in which two differ, those that only one has among them. */
export function tcbDifferences(a: Tcb, b: Tcb): readonly TcbComponent[] {
  return TCB_COMPONENTS.filter((component) => a[component] !== b[component]);
}

/** Whether no part of the first is newer than that of the second. */
export function isAtMost(a: Tcb, b: Tcb): boolean {
  return TCB_COMPONENTS.every((component) => (a[component] ?? 0) <= (b[component] ?? 0));
}

/** The parts that there are, in order, for a person. */
export function tcbText(tcb: Tcb): string {
  return TCB_COMPONENTS.filter((component) => tcb[component] !== undefined)
    .map((component) => `${component} ${String(tcb[component])}`)
    .join(', ');
}
