import { MalformedError } from '../../bytes/malformed-error.js';
import { dateOf, listOf, type JsonObject, objectOf, textOf } from './document-values.js';

const MAX_LEVELS = 256;
const MAX_ADVISORIES = 256;
const ADVISORY = /^[0-9A-Za-z-]{1,64}$/;

/** What Intel says of a TCB level. */
export interface TcbVerdict {
  /** As it stands in the document: not necessarily a status that is known here. */
  readonly status: string;
  /** As `2024-03-13T00:00:00Z`: all advisories up to it are accounted for. */
  readonly date: string;
  readonly advisoryIds: readonly string[];
}

/** A level by one SVN, of a TDX module or a quoting enclave. */
export interface IsvLevel extends TcbVerdict {
  /** The lowest SVN of the level. */
  readonly isvSvn: number;
}

export function readLevels<T>(
  value: unknown,
  field: string,
  read: (tcb: JsonObject) => T,
): readonly (T & TcbVerdict)[] {
  const levels = listOf(value, MAX_LEVELS, field, (item) => {
    const level = objectOf(item, field);
    return { ...read(objectOf(level['tcb'], `${field}.tcb`)), ...readVerdict(level, field) };
  });
  if (levels.length === 0) throw new MalformedError(`${field}: empty`);
  return levels;
}

function readVerdict(level: JsonObject, field: string): TcbVerdict {
  const date = textOf(level['tcbDate'], 20, `${field}.tcbDate`);
  dateOf(date, `${field}.tcbDate`);
  return {
    status: textOf(level['tcbStatus'], 64, `${field}.tcbStatus`),
    date,
    advisoryIds:
      level['advisoryIDs'] === undefined
        ? []
        : listOf(level['advisoryIDs'], MAX_ADVISORIES, `${field}.advisoryIDs`, (item) => {
            const id = textOf(item, 64, `${field}.advisoryIDs`);
            if (!ADVISORY.test(id)) throw new MalformedError(`${field}.advisoryIDs: not the name of an advisory`);
            return id;
          }),
  };
}
