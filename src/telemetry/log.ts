import { type DestinationStream, type Level, pino } from 'pino';
import { redact, redactText } from './redact.js';

/** A structured log: one JSON object a line. Whatever goes in is redacted first (see redact.ts). */
export interface StructuredLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
  /** Writes out what is buffered: call it before the process ends. */
  flush(): void;
}

export interface LogOptions {
  readonly level?: Level | 'silent';
  /** Where lines go; default: stderr, buffered while a write is under way. */
  readonly stream?: DestinationStream;
  /** Members that every line has, such as the worker's number. */
  readonly base?: Readonly<Record<string, unknown>>;
}

export function createLog({ level = 'info', stream, base = {} }: LogOptions = {}): StructuredLog {
  const stderr = stream === undefined ? pino.destination({ dest: 2, sync: false }) : undefined;
  const logger = pino(
    {
      level,
      base: redact(base) as Record<string, unknown>,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      // Errors have been taken apart already; pino's own serializer would do it again.
      serializers: { err: (error: unknown) => error },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream ?? stderr ?? process.stderr,
  );
  const write = (at: 'info' | 'warn' | 'error') => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (logger.isLevelEnabled(at)) logger[at](redact(fields) as Record<string, unknown>, redactText(message));
  };
  return { info: write('info'), warn: write('warn'), error: write('error'), flush: () => stderr?.flushSync() };
}
