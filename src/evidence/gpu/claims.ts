import { toHex } from '../../bytes/hex.js';
import type { ClaimDescription } from '../../claims/claim-description.js';
import { claimTree, type ClaimTree } from '../../claims/claims.js';
import type { AnsweringDevice } from './device.js';
import type { MatchedMeasurements } from './measurements.js';
import type { NeededManifest } from './rims.js';

/** The tree below `gpu.<i>` of a device whose measurements have been compared. */
export function deviceClaims(
  { device, report, facts }: AnsweringDevice,
  matched: MatchedMeasurements,
  needed: readonly NeededManifest[],
): ClaimTree {
  const { kind } = device;
  const name = (of: NeededManifest['kind']) => needed.find((one) => one.kind === of)?.servedAs;
  const sha256 = (of: NeededManifest['kind']) => matched.manifests.find((one) => one.kind === of)?.sha256;
  const values = report.measurements.map(({ value }, index) => [String(index), toHex(value)] as const);
  return claimTree({
    kind,
    architecture: device.architecture,
    chip: device.chip,
    model: device.model,
    ueid: device.ueid,
    pdi: device.pdi,
    driver_version: facts.driverVersion,
    vbios_version: facts.vbiosVersion,
    project: kind === 'gpu' ? facts.project : undefined,
    project_sku: kind === 'gpu' ? facts.projectSku : undefined,
    chip_sku: kind === 'gpu' ? facts.chipSku : undefined,
    fwid: claimTree({
      present: facts.fwid !== undefined,
      sha384: facts.fwid === undefined ? undefined : toHex(facts.fwid),
    }),
    mode: facts.mode === 'other' ? undefined : facts.mode,
    protected_pcie: facts.protectedPcie === 'other' ? undefined : facts.protectedPcie,
    nvdec: facts.nvdec === 'other' ? undefined : facts.nvdec,
    position: facts.positionId,
    lock_status: facts.lockStatus,
    measurements: claimTree({ matched: true, compared: matched.compared, unlisted: matched.unlisted }),
    measurement: claimTree(Object.fromEntries(values)),
    rim: claimTree({
      driver: name('driver'),
      vbios: name('vbios') ?? name('switch'),
      driver_sha256: sha256('driver'),
      vbios_sha256: sha256('vbios') ?? sha256('switch'),
    }),
  });
}

/** Claims of NVIDIA devices. What a device does not say is absent, and no policy that asks for it is met. */
export const GPU_CLAIMS: readonly ClaimDescription[] = [
  { name: 'gpu.count', type: 'number', meaning: 'How many GPUs answered, switches not counted; no device twice.' },
  { name: 'gpu.switches', type: 'number', meaning: 'How many NVSwitches answered.' },
  {
    name: 'gpu.topology',
    type: 'boolean',
    meaning:
      'True where GPUs behind protected PCIe and switches answered, and each is linked to exactly the others; else absent.',
  },
  { name: 'gpu.<i>.kind', type: 'string', meaning: '`gpu` or `switch`.' },
  { name: 'gpu.<i>.architecture', type: 'string', meaning: '`HOPPER`, `BLACKWELL` or `LS10`, by the boot ROM.' },
  { name: 'gpu.<i>.chip', type: 'string', meaning: 'The chip, by the boot ROM: `GH100`, `GB100`, `LS_10` and so on.' },
  {
    name: 'gpu.<i>.model',
    type: 'string',
    meaning: 'Common name of the certificate of the boot ROM; hwmodel in the tokens of NVIDIA.',
  },
  {
    name: 'gpu.<i>.ueid',
    type: 'string',
    meaning:
      'Serial number of the device certificate in decimal; ueid in the tokens of NVIDIA. Another one after the firmware was changed.',
  },
  {
    name: 'gpu.<i>.pdi',
    type: 'string',
    meaning:
      'The number fused into the device, 16 hex digits, by the certificate of its boot ROM; stays the same for good.',
  },
  { name: 'gpu.<i>.driver_version', type: 'string', meaning: 'Version of the driver: `550.144.03`. GPUs only.' },
  {
    name: 'gpu.<i>.vbios_version',
    type: 'string',
    meaning: 'Version of the VBIOS of a GPU or of the BIOS of a switch: `96.00.9f.00.01`, lower case.',
  },
  { name: 'gpu.<i>.project', type: 'string', meaning: 'Project of the board, as the device reports it. GPUs only.' },
  { name: 'gpu.<i>.project_sku', type: 'string', meaning: 'SKU of the board. GPUs only.' },
  { name: 'gpu.<i>.chip_sku', type: 'string', meaning: 'SKU of the chip. GPUs only.' },
  {
    name: 'gpu.<i>.fwid.present',
    type: 'boolean',
    meaning:
      'Whether the report names the firmware that signed it, which then is the one of the certificate; old firmware does not.',
  },
  { name: 'gpu.<i>.fwid.sha384', type: 'string', meaning: 'The id of that firmware, hex.' },
  {
    name: 'gpu.<i>.mode',
    type: 'string',
    meaning:
      '`SPT` (one GPU passed through), `MPT` (several, links protected) or `PPCIE` (several behind protected PCIe); from 580 drivers on.',
  },
  {
    name: 'gpu.<i>.protected_pcie',
    type: 'boolean',
    meaning:
      'Whether the GPU is behind protected PCIe; from 550 drivers on. Its links are not encrypted then: ask for gpu.topology too.',
  },
  {
    name: 'gpu.<i>.nvdec',
    type: 'string',
    meaning: '`on` or `off`: the video decoder, of which measurement 35 is compared only while it is on.',
  },
  { name: 'gpu.<i>.position', type: 'number', meaning: 'Place of a switch in its machine, from 0.' },
  {
    name: 'gpu.<i>.lock_status',
    type: 'number',
    meaning: 'Lock status of a switch, as it reports it; 1 on machines behind protected PCIe.',
  },
  {
    name: 'gpu.<i>.measurements.matched',
    type: 'boolean',
    meaning: 'True: every measurement that the manifests of driver and VBIOS list is one of those listed.',
  },
  { name: 'gpu.<i>.measurements.compared', type: 'number', meaning: 'How many measurements were compared.' },
  {
    name: 'gpu.<i>.measurements.unlisted',
    type: 'number',
    meaning: 'How many measurements that are not zero no manifest lists: they may be anything.',
  },
  {
    name: 'gpu.<i>.measurement.<n>',
    type: 'string',
    meaning: 'A measurement, hex; `<n>` counts from 0, as manifests do.',
  },
  {
    name: 'gpu.<i>.rim.driver',
    type: 'string',
    meaning:
      'Name under which NVIDIA serves the manifest of the driver, made of chip and version that the device reports. GPUs only.',
  },
  {
    name: 'gpu.<i>.rim.vbios',
    type: 'string',
    meaning:
      'The same of the VBIOS, or of the BIOS of a switch; project and SKUs in it are the words of the device, of which the manifest says nothing.',
  },
  {
    name: 'gpu.<i>.rim.driver_sha256',
    type: 'string',
    meaning:
      'SHA-256 of the manifest of the driver that was used, hex: NVIDIA has signed several of one name that list different measurements. GPUs only.',
  },
  {
    name: 'gpu.<i>.rim.vbios_sha256',
    type: 'string',
    meaning: 'The same of the VBIOS, or of the BIOS of a switch.',
  },
];
