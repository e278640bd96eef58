/** The address of a module of the built program: the bench measures what users run, and replaces parts of that. */
export function built(module: string): string {
  return new URL(`../../dist/${module}`, import.meta.url).href;
}
