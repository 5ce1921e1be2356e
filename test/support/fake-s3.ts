import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What a store does with requests: as it should; answers an error; never answers; stops in the middle of an object. */
type Mood = 'well' | 'failing' | 'hanging' | 'stopping' | 'cutting';

/** An S3-compatible store in this process, which checks the signature of each request by itself. */
export interface FakeS3 extends AsyncDisposable {
  /** What an operator writes into STORAGE_URL. */
  readonly storageUrl: string;
  /** The objects by their path. */
  readonly objects: Map<string, Buffer>;
  /** The requests as `METHOD path`. */
  readonly requests: string[];
  mood: Mood;
}

const accessKeyId = 'AKIDTEST';
const secretAccessKey = 'a/secret+with=signs';
const region = 'eu-test-1';

/** Starts a store with one bucket. */
export async function openFakeS3(): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  const fake: { mood: Mood } = { mood: 'well' };
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await buffer(request);
    const { method = '', url = '' } = request;
    requests.push(`${method} ${url}`);
    if (fake.mood === 'hanging') return;
    const fail = (status: number, code: string) =>
      response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`);
    if (fake.mood === 'failing') return fail(503, 'SlowDown');
    const wrong = findWrong(request, body);
    if (wrong !== null) return fail(403, wrong);
    if (method === 'PUT') {
      objects.set(url, body);
      return response.writeHead(200).end();
    }
    const object = objects.get(url);
    if (method === 'DELETE') {
      objects.delete(url);
      return response.writeHead(204).end();
    }
    if (object === undefined) return fail(404, 'NoSuchKey');
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const part = object.subarray(Number(from), Number(to) + 1);
    const half = part.subarray(0, Math.floor(part.length / 2));
    if (fake.mood === 'cutting') return response.writeHead(206).end(half);
    response.writeHead(206, { 'content-length': part.length });
    if (fake.mood === 'stopping') return response.write(half);
    return response.end(part);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const keys = `${accessKeyId}:${encodeURIComponent(secretAccessKey)}`;
  return Object.assign(fake, {
    storageUrl: `s3://${keys}@127.0.0.1:${port}/files/some/prefix?region=${region}&tls=false`,
    objects,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}

/** Checks Signature Version 4 as it is described, without the signer under test. @returns the code of the error */
function findWrong(request: IncomingMessage, body: Buffer): string | null {
  const form =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/;
  const [, keyId, day = '', signedRegion = '', names = '', signature] =
    form.exec(request.headers.authorization ?? '') ?? [];
  if (keyId !== accessKeyId || signedRegion !== region) return 'InvalidAccessKeyId';
  const hash = sha256(body);
  if (request.headers['x-amz-content-sha256'] !== hash) return 'XAmzContentSHA256Mismatch';
  if (!names.split(';').includes('host') || !names.split(';').includes('x-amz-content-sha256')) return 'AccessDenied';
  const date = String(request.headers['x-amz-date']);
  const headers = names.split(';').map((name) => `${name}:${String(request.headers[name]).trim()}\n`);
  const canonical = [request.method, request.url, '', headers.join(''), names, hash].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (made, part) => createHmac('sha256', made).update(part).digest(),
    `AWS4${secretAccessKey}`,
  );
  return createHmac('sha256', key).update(text).digest('hex') === signature ? null : 'SignatureDoesNotMatch';
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
