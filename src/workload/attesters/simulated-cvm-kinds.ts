/** Kinds of confidential VMs: by themselves, or below the paravisor of Azure (HCL), which names the AK of its vTPM. */
export const SIMULATED_CVM_KINDS = ['snp', 'tdx', 'hcl-snp', 'hcl-tdx'] as const;
export type SimulatedCvmKind = (typeof SIMULATED_CVM_KINDS)[number];
