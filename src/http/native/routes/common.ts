import { integer, text } from '../parameters.js';
import { ATTESTER_ID, DEPLOYMENT_NAME, KEY_NAME, SHA256, TOKEN_ID, VERSION } from '../schemas.js';

/** Parameters that several routes share. */
export const page = {
  limit: integer(1, 1000, 'how many items at most: 1 to 1000, default 100'),
  cursor: text('^[0-9A-Za-z_-]{1,512}$', 'next_cursor of the page before'),
};

export const deployment = text(DEPLOYMENT_NAME, 'name of a deployment');
export const key = text(KEY_NAME, 'name of a key');
export const version = text(VERSION, 'a version id; left out: the key itself');
export const policySha256 = text(SHA256, 'policy hash, 64 lower-case hex digits');
export const attesterId = text(ATTESTER_ID, 'name, AK Name or SPKI hash of an attester');
export const releaseId = text('^[0-9a-f]{32}$', 'release_id of an entry, 32 lower-case hex digits');
export const tokenId = text(TOKEN_ID, 'id of a token, 16 lower-case hex digits');
