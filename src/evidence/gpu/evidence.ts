/** Evidence of one NVIDIA GPU or NVSwitch as it was received; nothing in it is verified. */
export interface GpuEvidence {
  /** SPDM GET_MEASUREMENTS request and response, one behind the other; one byte behind them is ignored. */
  readonly report: Buffer;
  /** DER, the leaf first. */
  readonly certificates: readonly Buffer[];
}

/** What of a deployment says more, or less, than the safe defaults do. */
export interface GpuRules {
  /** How many GPUs, switches not counted, must have answered; undefined: as many as were sent. */
  readonly count: number | undefined;
  /** Whether devices in a mode for development, or that do not protect their memory, are accepted. */
  readonly debug: boolean;
}

/** What is accepted unless somebody says otherwise. */
export const SAFE_GPU_RULES: GpuRules = { count: undefined, debug: false };
