import { MalformedError } from '../../bytes/malformed-error.js';
import { onlyAttribute, COMMON_NAME } from '../../crypto/x509-name.js';
import type { Certificate } from '../../crypto/x509.js';
import type { CertifiedKey } from '../../crypto/x509-key.js';
import type { Purpose } from '../../endorsement/certificate-checks.js';
import type { Collateral, HardwareTrust } from '../../endorsement/collateral.js';
import type { HardwareRoots } from '../../endorsement/hardware-roots.js';
import { pathIdentities, type RevocableIdentity } from '../../endorsement/identity.js';
import type { RevocationLists } from '../../endorsement/known-paths.js';
import type { ValidPath } from '../../endorsement/path.js';
import { vendorPath } from '../../endorsement/vendor-path.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { PDI_BYTES } from './constants.js';

/** As NVIDIA's own evidence spells it. */
export type GpuArchitecture = 'HOPPER' | 'BLACKWELL' | 'LS10';

/** Which device a certificate chain is of. */
export interface GpuDevice {
  readonly kind: 'gpu' | 'switch';
  readonly architecture: GpuArchitecture;
  /** `GH100`, `GB100`, `GB20X` (RTX PRO), …, `LS_10`. */
  readonly chip: string;
  /** Common name of the certificate of the boot ROM: `GH100 A01 GSP BROM`. NVIDIA's tokens call it hwmodel. */
  readonly model: string;
  /**
   * Serial number of the leaf in decimal; NVIDIA's tokens call it ueid. Another one for the same device after its firmware was
   * changed.
   */
  readonly ueid: string;
  /** The number fused into the device, lower-case hex, where the certificate of the boot ROM has it in the form that is known. */
  readonly pdi: string | undefined;
  /** SubjectPublicKeyInfo (DER) of the boot ROM: the device itself, whatever its firmware. */
  readonly bootRomSpki: Buffer;
  readonly leaf: Certificate;
  /** Of the leaf; P-384. */
  readonly key: CertifiedKey;
  readonly identities: readonly RevocableIdentity[];
  /** Where the path is good but for a CRL that is stale: the refusal that waits for every other check. */
  readonly withoutCrl: Rejection | undefined;
}

/** The leaf signs reports and nothing else. */
const PURPOSE: Purpose = { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } };
/** Leaf, boot ROM, provisioner, identity of the architecture. More is a device that certifies others. */
const PATH_CERTIFICATES = 4;
const SERIAL_NUMBER = '2.5.4.5';

const BOOT_ROM = /^((GH100|GB[12][0-9][0-9A-Z]|LS_10) [A-Z][0-9]{2} [GF]SP) BROM$/;
/** A byte that stands for the kind of chip, then the PDI. */
const DEVICE_NUMBER = new RegExp(`^[0-9A-Fa-f]{2}([0-9A-Fa-f]{${String(2 * PDI_BYTES)}})$`);

const lists = new WeakMap<Collateral, RevocationLists>();

/**
 * Validates the chain of a device: leaf, boot ROM, provisioner and identity of the architecture below a pinned root, which may
 * be among the certificates or not, and nothing else; and tells what device it is. The architecture comes from the name of the
 * boot ROM, since LS10 switches hang below the identity of GH100. Refusal: gpu.chain, for revoked certificates too. A CRL that is
 * at hand and is stale, or not by its issuer, is `withoutCrl`. None needs to be at hand, since NVIDIA has none for devices:
 * whether it put a device on hold is only to be learnt from its OCSP responder, which is not asked.
 */
export function verifyDeviceChain(chain: readonly Buffer[], trust: HardwareTrust): Result<GpuDevice> {
  const { roots, paths, atMs, collateral } = trust;
  const request = { chain, anchors: roots.nvidiaDevices, atMs, purpose: PURPOSE };
  const found = vendorPath(paths, 'nvidia-device', request, listsOf(collateral), 'gpu.chain');
  if (!found.ok) return found;
  const { path, withoutCrl } = found.value;
  if (hasStranger(chain, path, roots)) {
    return reject('gpu.chain', 'a certificate was sent that is not on the path of the leaf');
  }
  return deviceOf(path, withoutCrl);
}

/** A certificate that plays no part is refused like a changed one, which it may be, unless it is a pinned root. */
function hasStranger(sent: readonly Buffer[], { path }: ValidPath, { nvidiaDevices }: HardwareRoots): boolean {
  const known = [...path, ...nvidiaDevices.certificates];
  return sent.some((certificate) => !known.some(({ der }) => der.equals(certificate)));
}

/** One object for one collateral: paths are known under it. */
function listsOf(collateral: Collateral): RevocationLists {
  const known = lists.get(collateral);
  if (known !== undefined) return known;
  const made: RevocationLists = { lists: collateral.crls, policy: 'if-present' };
  lists.set(collateral, made);
  return made;
}

function deviceOf(valid: ValidPath, withoutCrl: Rejection | undefined): Result<GpuDevice> {
  const { path } = valid;
  const [leaf, bootRom] = path;
  if (leaf === undefined || bootRom === undefined || path.length !== PATH_CERTIFICATES) {
    return reject('gpu.chain', `not ${String(PATH_CERTIFICATES)} certificates between report and root`);
  }
  const model = commonName(bootRom) ?? '';
  const [, part, chip] = BOOT_ROM.exec(model) ?? [];
  if (part === undefined || chip === undefined) {
    return reject('gpu.chain', 'the leaf is not below the boot ROM of a device that is verified here');
  }
  if (commonName(leaf) !== `${part} FMC LF`) {
    return reject('gpu.chain', 'the leaf is not the one of the firmware that answers for measurements');
  }
  const key = keyOf(leaf);
  if (key === undefined) return reject('gpu.chain', 'the key of the leaf is not one of P-384');
  const pdi = DEVICE_NUMBER.exec(onlyAttribute(bootRom.subject.attributes, SERIAL_NUMBER) ?? '')?.[1]?.toLowerCase();
  const architecture = architectureOf(chip);
  return accept({
    kind: architecture === 'LS10' ? 'switch' : 'gpu',
    architecture,
    chip,
    model,
    ueid: BigInt(`0x${leaf.serial}`).toString(),
    pdi,
    bootRomSpki: bootRom.spki,
    leaf,
    key,
    identities: [...(pdi === undefined ? [] : [`chip/${pdi}`]), ...pathIdentities(valid)],
    withoutCrl,
  });
}

function commonName({ subject }: Certificate): string | undefined {
  return onlyAttribute(subject.attributes, COMMON_NAME);
}

function architectureOf(chip: string): GpuArchitecture {
  if (chip === 'LS_10') return 'LS10';
  return chip === 'GH100' ? 'HOPPER' : 'BLACKWELL';
}

function keyOf(leaf: Certificate): CertifiedKey | undefined {
  try {
    const key = leaf.publicKey();
    return key.type === 'ec' && key.curve === 'P-384' ? key : undefined;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
