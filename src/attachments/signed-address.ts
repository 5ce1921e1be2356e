import { NotFoundError } from '../api/errors.ts';
import { readId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { type AttachmentFile, pathOfAttachment, readAttachmentFile } from './files.ts';

/** The parameter of a signed address: the moment at which it expires, in seconds; a key; the owner; all of it signed. */
export const accessParameter = 'access';

const accessForm = /^(\d{1,12})\.([\w-]{1,64})\.([\w-]{43})\.([\w-]{43})$/;

/**
 * Makes an address of an upload that can be fetched for a while without an access token, by an `<img>`, for example. Who has it
 * can fetch that file, and nothing else. It stays the same for half of its time, so that browsers do not load a file again
 * each time when somebody asks for its address.
 * @param viewer the owner: made for anybody else, the address leads to nothing
 * @param id the public id
 * @param urlMs how long it can be fetched at most, in milliseconds; at least half of it is left
 */
export function signAddress(
  keys: KeyRing,
  { tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>,
  id: string,
  { now, urlMs }: { readonly now: number; readonly urlMs: number },
): string {
  const window = urlMs / 2;
  const expires = Math.floor(((Math.floor(now / window) + 2) * window) / 1_000);
  const owner = keys.sign(textOfOwner(tenantId, userId));
  const access = [expires, owner, macOf(keys.sign(textOfAddress(id, expires, owner)))].join('.');
  return `${pathOfAttachment(id)}?${accessParameter}=${access}`;
}

/**
 * Reads the upload of a signed address. Nothing is read from the database unless the address was made here and has not expired.
 * @param id the public id in the path
 * @param access the parameter, as a stranger has sent it
 * @throws {NotFoundError} if it was not made here, has expired, or its file was deleted; nothing tells them apart
 */
export async function readSignedFile(
  keys: KeyRing,
  db: Database,
  { id, access, now }: { readonly id: string; readonly access: string; readonly now: number },
): Promise<{ readonly file: AttachmentFile; readonly owner: Viewer }> {
  const refused = new NotFoundError('This address is not valid, or it has expired.');
  const [, written = '', kid = '', ownerMac = '', mac = ''] = accessForm.exec(access) ?? [];
  const [expires, owner] = [Number(written), `${kid}.${ownerMac}`];
  const row = readId('Attachment', id);
  if (row === null || expires * 1_000 <= now || !keys.isSignatureOf(`${kid}.${mac}`, textOfAddress(id, expires, owner)))
    throw refused;
  const found = await db.attachment.findUnique({ where: { id: row }, select: { tenantId: true, userId: true } });
  if (found === null || !keys.isSignatureOf(owner, textOfOwner(found.tenantId, found.userId))) throw refused;
  const viewer = { ...found, roles: [], expiresAt: expires * 1_000 };
  return { file: await readAttachmentFile(viewer, db, id), owner: viewer };
}

/** The parts of what is signed say what it is: no other text that the server signs looks like it. */
function textOfAddress(id: string, expires: number, owner: string): string {
  return JSON.stringify(['address of an attachment', id, expires, owner]);
}

function textOfOwner(tenantId: string, userId: string): string {
  return JSON.stringify(['owner of an attachment', tenantId, userId]);
}

function macOf(signature: string): string {
  return signature.slice(signature.lastIndexOf('.') + 1);
}
