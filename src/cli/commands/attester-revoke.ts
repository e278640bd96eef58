import type { Command } from 'commander';
import { isRevocable } from '../../endorsement/identity.js';
import type { RevocationView } from '../../release/views.js';
import type { CliContext } from '../context.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { shown, UsageError, type Outcome } from '../outcome.js';
import type { Revocable } from '../revocable.js';
import { verb, type Act } from '../verb.js';
import type { ShownAttester } from './attester-text.js';
import { attesterSegment } from './attester-segment.js';

interface RevokeOptions {
  readonly ek?: string;
  readonly certificate?: string;
  readonly authority?: string;
  readonly chip?: string;
}

/** `attester revoke`. */
export function addRevoke(attester: Command, act: Act): void {
  verb(attester, 'revoke', {
    summary: 'believe an attester, or what vouches for some, no longer, for good',
    description:
      'Revokes one AK for every deployment, or all that a TPM (its EK), a certificate, a CA or a chip vouches for: on the ' +
      'very next release, requests in flight included, and for good. It is no recall: what was released is released. What ' +
      'the broker has never seen can be revoked too. An AK that is pinned may outlast certificates and CAs: to be sure, ' +
      'revoke the AK itself, or its EK.',
    examples: [
      'portcullis attester revoke node-1',
      'portcullis attester revoke 9f64…(SPKI hash, 64 hex digits)…0a',
      'portcullis attester revoke --ek ek.crt',
      'portcullis attester revoke --certificate ak.pem',
      'portcullis attester revoke --authority maker-ca.pem',
    ],
    next:
      '`portcullis attester revocations` lists what was revoked. Make a new AK in the TPM, should the machine be trusted ' +
      'again; `portcullis attester quarantine NAME` is for what may turn out to be harmless.',
  })
    .argument('[name]', 'name, AK Name (hex), SPKI hash (hex), or what `attester show` says vouches for it')
    .option('--ek <file|hash>', 'a TPM: EK certificate (PEM or DER), public area of the EK, or SHA-256 of its SPKI')
    .option('--certificate <file>', 'one certificate, by its issuer and serial number: PEM or DER')
    .option('--authority <file|hash>', 'a CA, and all below it: its certificate (PEM or DER), or SHA-256 of its SPKI')
    .option('--chip <hex>', 'a chip of confidential machines, by its id')
    .action(act(revoke));
}

async function revoke(context: CliContext, id: string | undefined, options: RevokeOptions): Promise<Outcome> {
  const given = [id, options.ek, options.certificate, options.authority, options.chip].filter(
    (each) => each !== undefined,
  );
  if (given.length !== 1) {
    throw new UsageError(
      'name one thing to revoke: an attester, or one of --ek, --certificate, --authority and --chip',
    );
  }
  if (id?.includes('/') === false) {
    const reply = await context.call<ShownAttester>('POST', `/v1/attesters/${attesterSegment(id)}/revoke`, {});
    return shown(reply, (view) => [`Attester ${id} is revoked (SPKI hash ${view.ak_spki_sha256 ?? 'not told'}).`]);
  }
  const { identity, description } = id === undefined ? await named(context, options) : identified(id);
  const reply = await context.call<RevocationView>('POST', '/v1/revocations', { identity });
  return shown(reply, ({ attesters }) => [
    `Revoked: ${description} (${identity}).`,
    ...(attesters === undefined ? [] : [affected(attesters)]),
  ]);
}

async function named(context: CliContext, { ek, certificate, authority, chip }: RevokeOptions): Promise<Revocable> {
  const { revocableAuthority, revocableCertificate, revocableChip, revocableEk } = await import('../revocable.js');
  if (ek !== undefined) return revocableEk(context, ek);
  if (certificate !== undefined) return revocableCertificate(context, certificate);
  if (authority !== undefined) return revocableAuthority(context, authority);
  return revocableChip(chip ?? '');
}

function identified(id: string): Revocable {
  const identity = id.toLowerCase();
  if (isRevocable(identity)) return { identity, description: identity.slice(0, identity.indexOf('/')) };
  throw new UsageError(
    'what has a slash is ek/HASH, certificate/ISSUER_HASH/SERIAL, ca/HASH or chip/ID, as `portcullis attester show` lists them',
  );
}

function affected(attesters: readonly string[]): string {
  return attesters.length === 0
    ? 'No AK was enrolled by it.'
    : `AKs that were enrolled by it: ${attesters.join(', ')}.`;
}

/** `attester revocations`. */
export function addRevocations(attester: Command, act: Act): void {
  addRangeOptions(
    verb(attester, 'revocations', {
      summary: 'list what was revoked',
      description: 'Lists every AK, EK, certificate, CA and chip that was revoked. Revocations are for good.',
      examples: ['portcullis attester revocations'],
      next: '`portcullis entries --type endorsement.revoked` says when, and by whom; AKs have `attester.revoked`.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<RevocationView>('/v1/revocations', options);
      return shown(reply, ({ items }) => [
        { head: ['kind', 'identity'], rows: items.map(({ kind, identity }) => [kind, identity]) },
      ]);
    }),
  );
}

/** `attester quarantine`. */
export function addQuarantine(attester: Command, act: Act): void {
  verb(attester, 'quarantine', {
    summary: 'believe an attester in no deployment until you end that',
    description:
      'Puts an AK in quarantine: every release to it is refused from the very next commit on (`ak.pending`), requests in ' +
      'flight included, whatever vouches for it. It is no recall: what was released is released. `--end` ends the quarantine; ' +
      'trusting the AK does not.',
    examples: ['portcullis attester quarantine node-1', 'portcullis attester quarantine node-1 --end'],
    next: '`portcullis attester show NAME`; `portcullis attester revoke NAME` is for good.',
  })
    .argument('<name>', 'name, AK Name (hex) or SPKI hash (hex)')
    .option('--end', 'end the quarantine')
    .action(
      act(async (context, id: string, { end }: { end?: true }) => {
        const action = end === true ? 'unquarantine' : 'quarantine';
        const path = `/v1/attesters/${attesterSegment(id)}/${action}`;
        const reply = await context.call<ShownAttester>('POST', path, {});
        return shown(reply, ({ name = id, state }) => [
          end === true
            ? `Attester ${name} is out of quarantine${state === undefined ? '' : `, and ${state}`}.`
            : `Attester ${name} is in quarantine.`,
        ]);
      }),
    );
}
