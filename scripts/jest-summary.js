/** Prints the closing lines that a CI run reads, after everything else: `N skipped`, then `N passed, N failed` alone on the last line. */
export default class Summary {
  onRunComplete(_contexts, results) {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const lines = `${String(results.numPendingTests)} skipped\n${String(results.numPassedTests)} passed, ${String(failed)} failed\n`;
    process.on('exit', () => process.stdout.write(lines));
  }
}
