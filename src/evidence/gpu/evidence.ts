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
  /**
   * Whether GPUs in different modes are accepted, and a device whose report leaves its mode out, contradicts itself, or names one
   * that is not known. Devtools mode stands in no report: its measurements are none of the manifests', and gpu.measurement
   * whatever stands here.
   */
  readonly debug: boolean;
}

/** What is accepted unless somebody says otherwise. */
export const SAFE_GPU_RULES: GpuRules = { count: undefined, debug: false };
