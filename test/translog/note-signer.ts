/** Signs notes with node:crypto alone, as C2SP signed-note and tlog-cosignature describe them: shares no code with what is tested. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';

export interface NoteSigner {
  readonly name: string;
  /** 32 bytes. */
  readonly publicKey: Buffer;
  readonly publicPem: string;
  readonly id: Buffer;
  readonly vkey: string;
  /** The 64 bytes of an Ed25519 signature. */
  readonly bare: (message: string) => Buffer;
  /** The signature line of a text, as type 01 signs it. */
  readonly line: (text: string) => string;
  /** The signature line of a text, as type 04 signs it at a time in seconds. */
  readonly cosignatureLine: (text: string, seconds: bigint) => string;
}

export function noteSigner(name: string, type: number): NoteSigner {
  const { publicKey: der, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const publicKey = der.subarray(der.length - 32);
  const typed = Buffer.concat([Buffer.of(type), publicKey]);
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  const bare = (message: string) => sign(null, Buffer.from(message), privateKey);
  const lineOf = (signature: Buffer) => `\u2014 ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
  return {
    name,
    publicKey,
    publicPem: `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`,
    id,
    vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}`,
    bare,
    line: (text) => lineOf(bare(text)),
    cosignatureLine: (text, seconds) => {
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(seconds);
      return lineOf(Buffer.concat([time, bare(`cosignature/v1\ntime ${String(seconds)}\n${text}`)]));
    },
  };
}
