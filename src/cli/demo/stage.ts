import pc from 'picocolors';
import type { Sink } from '../io.js';

const INDENT = '   ';

/** Prints what happens, step by step, for a person. */
export class Stage {
  readonly #out: Sink;
  readonly #colours: ReturnType<typeof pc.createColors>;
  #steps = 0;

  constructor(out: Sink, colours: boolean) {
    this.#out = out;
    this.#colours = pc.createColors(colours);
  }

  title(text: string): void {
    this.#out.write(`${this.#colours.bold(text)}\n`);
  }

  /** A new numbered step. */
  step(text: string): void {
    this.#steps++;
    this.#out.write(`\n${this.#colours.bold(`${String(this.#steps)}. ${text}`)}\n`);
  }

  /** A command as one would type it. */
  command(text: string): void {
    this.#out.write(`${INDENT}${this.#colours.dim(`$ ${text}`)}\n`);
  }

  /** One or more lines below the step. */
  say(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#out.write(`${INDENT}${line}\n`);
  }

  /** A name and its value, aligned. */
  fact(name: string, value: string): void {
    this.say(`${name.padEnd(20)} ${value}`);
  }

  good(text: string): void {
    this.say(this.#colours.green(`✔ ${text}`));
  }

  bad(text: string): void {
    this.say(this.#colours.red(`✘ ${text}`));
  }
}
