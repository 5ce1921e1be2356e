/** Where files are stored: a bucket of an S3-compatible store. */
export interface StorageEnv {
  /** Scheme, host and port of the store. */
  readonly origin: string;
  readonly bucket: string;
  /** With what the names of all objects begin: empty, or with a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const parameters: ReadonlySet<string> = new Set(['region', 'tls']);

/**
 * Reads STORAGE_URL: `s3://<key id>:<secret>@<host>[:<port>]/<bucket>[/<prefix>]?region=<region>&tls=false`. What is not plain in the
 * key and the secret is percent-encoded.
 * @returns null if it is not of that form
 */
export function parseStorageUrl(written: string): StorageEnv | null {
  const url = URL.parse(written);
  if (url?.protocol !== 's3:' || url.host === '' || url.username === '' || url.password === '' || url.hash !== '')
    return null;
  const [bucket = '', ...steps] = url.pathname.replace(/^\//, '').replace(/\/$/, '').split('/');
  const tls = url.searchParams.get('tls') ?? 'true';
  const region = url.searchParams.get('region') ?? 'us-east-1';
  const isKnown = [...url.searchParams.keys()].every((name) => parameters.has(name));
  const isNamed =
    /^[a-z0-9][a-z0-9._-]{1,62}$/.test(bucket) && steps.every((step) => /^(?!\.+$)[\w.-]{1,100}$/.test(step));
  if (!isKnown || !isNamed || !/^(true|false)$/.test(tls) || !/^[\w-]{1,63}$/.test(region)) return null;
  try {
    return {
      origin: `${tls === 'true' ? 'https' : 'http'}://${url.host}`,
      bucket,
      prefix: steps.map((step) => `${step}/`).join(''),
      region,
      accessKeyId: decodeURIComponent(url.username),
      secretAccessKey: decodeURIComponent(url.password),
    };
  } catch {
    return null;
  }
}
