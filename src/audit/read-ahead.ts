/** What is read ahead of what is looked at. With bundles of at most 4 MiB, this bounds memory. */
const READ_AHEAD = 4;

/**
 * Reads from index `first` up to `end`, in order, a few at a time. A failure is thrown when its turn comes; however it
 * ends, nothing goes on afterwards.
 */
export async function* readAhead<T>(
  first: number,
  end: number,
  read: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const waiting: Promise<T>[] = [];
  try {
    for (let index = first; index < end || waiting.length > 0; index++) {
      if (index < end) {
        const reading = read(index);
        // It may fail before its turn comes, and nobody waits for it yet.
        reading.catch(() => undefined);
        waiting.push(reading);
      }
      if (waiting.length > READ_AHEAD || index >= end) yield (await waiting.shift()) as T;
    }
  } finally {
    await Promise.allSettled(waiting);
  }
}
