import { MalformedError } from '../bytes/malformed-error.js';
import { contextTag, DerReader, TAG } from '../crypto/der.js';
import { derBoolean, derUnsigned64 } from '../crypto/der-values.js';
import type { Certificate } from '../crypto/x509.js';
import { utf8 } from '../crypto/x509-name.js';

/** The extension in which Google names the instance. */
const GCE_INSTANCE = '1.3.6.1.4.1.11129.2.1.21';
const PRINTABLE = /^[\x20-\x7e]{1,255}$/;

/** The Google Compute Engine instance that a certificate is for. Numbers are decimal. */
export interface GceInstance {
  readonly zone: string;
  readonly projectNumber: string;
  readonly projectId: string;
  readonly instanceId: string;
  readonly instanceName: string;
  /** Whether Google says that its production issued it; false where it says nothing. */
  readonly production: boolean;
}

/**
 * Decodes the instance extension of an EK or AK certificate of Google; undefined where there is none. The layout is that of
 * real certificates: SEQUENCE { zone, project number, project id, instance id, instance name, [0] SEQUENCE of explicitly
 * tagged security properties }, of which [1] says whether it is production; other properties are not looked at. Throws
 * MalformedError. The certificate is not verified here.
 */
export function gceInstance({ extensions }: Certificate): GceInstance | undefined {
  const extension = extensions.get(GCE_INSTANCE);
  if (extension === undefined) return undefined;
  const outer = new DerReader(extension.value);
  const reader = outer.enter(TAG.sequence, 'GCE instance');
  outer.end('GCE instance');
  const zone = text(reader, 'zone');
  const projectNumber = decimal(reader, 'project number');
  const projectId = text(reader, 'project id');
  const instanceId = decimal(reader, 'instance id');
  const instanceName = text(reader, 'instance name');
  const wrapper = reader.optionalEnter(contextTag(0), 'security properties');
  reader.end('GCE instance');
  const production = wrapper !== undefined && readProduction(wrapper);
  return { zone, projectNumber, projectId, instanceId, instanceName, production };
}

function readProduction(wrapper: DerReader): boolean {
  const properties = wrapper.enter(TAG.sequence, 'security properties');
  wrapper.end('security properties');
  let production = false;
  let lastTag = 0;
  while (properties.more) {
    const { tag, content } = properties.any('security property');
    if (tag <= lastTag) throw new MalformedError('security properties: twice, or not in order');
    lastTag = tag;
    if (tag !== contextTag(1)) continue;
    const value = new DerReader(content);
    production = derBoolean(value.content(TAG.boolean, 'production'), 'production');
    value.end('production');
  }
  return production;
}

function text(reader: DerReader, field: string): string {
  const value = utf8(reader.content(TAG.utf8String, field), field);
  if (!PRINTABLE.test(value)) throw new MalformedError(`${field}: not 1 to 255 characters of printable ASCII`);
  return value;
}

function decimal(reader: DerReader, field: string): string {
  return derUnsigned64(reader.content(TAG.integer, field), field).toString();
}
