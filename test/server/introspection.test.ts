import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';

const everything = getIntrospectionQuery({
  descriptions: true,
  inputValueDeprecation: true,
  schemaDescription: true,
  specifiedByUrl: true,
  directiveIsRepeatable: true,
});
const usual = getIntrospectionQuery();

/** The same document as no other. */
const different = (index: number) => everything.replace('query IntrospectionQuery', `query Q${index}`);

test('The documents of tools are answered as often as they ask, each alone costs little, and any other ten times a minute', async () => {
  await using app = await startTestApp();
  for (const document of [everything, usual, everything, usual]) {
    const { data, errors } = await app.query(document);
    expect(errors).toEqual([]);
    expect(buildClientSchema(data).getQueryType()?.name).toBe('Query');
  }
  const asked = await Promise.all(Array.from({ length: 30 }, (_, index) => app.query(different(index))));
  const refused = asked.filter(({ errors }) => errors[0]?.extensions.code === 'RATE_LIMITED');
  // Two of the ten were the documents above.
  expect(asked.length - refused.length).toBe(8);
  expect(refused[0]).toMatchObject({ status: 429 });
  // What is remembered is answered all the same, and others are not affected.
  expect((await app.query(everything)).errors).toEqual([]);
  const bob = await app.token({ sub: 'bob' });
  expect((await app.query(different(99), {}, { token: bob })).errors).toEqual([]);
  // Small ones are free.
  for (let index = 0; index < 20; index += 1) {
    const { data } = await app.query(`{ a${index}: __type(name: "Agent") { fields { name type { name } } } }`);
    expect(data[`a${index}`].fields.length).toBeGreaterThan(5);
  }
});

test('Introspection that is repeated, goes round in circles or hides beside other fields is refused before it is executed', async () => {
  await using app = await startTestApp();
  const types =
    '__schema { types { fields { args { type { name } } type { fields { name } } } inputFields { name } } }';
  const repeated = `{ ${Array.from({ length: 25 }, (_, index) => `a${index}: ${types}`).join(' ')} }`;
  const inFragments = `{ ${Array.from({ length: 25 }, (_, index) => `a${index}: __schema { ...f }`).join(' ')} }
    fragment f on __Schema { types { fields { args { type { name } } type { fields { name } } } } }`;
  const circle = '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } }';
  const beside = `{ viewer { userId } ${Array.from({ length: 25 }, (_, index) => `a${index}: ${types}`).join(' ')} }`;
  // Each fragment twice as large as the next: as many as 2^20, if they were walked one by one.
  const doubling = Array.from(
    { length: 20 },
    (_, index) => `fragment f${index} on __Schema { ...f${index + 1} ...f${index + 1} }`,
  );
  const bomb = `{ __schema { ...f0 } } ${doubling.join(' ')} fragment f20 on __Schema { types { fields { name } } }`;
  for (const document of [repeated, inFragments, beside, bomb]) {
    const { status, errors } = await app.query(document);
    expect([document, status, errors[0]?.extensions]).toMatchObject([
      document,
      400,
      { code: 'QUERY_TOO_COMPLEX', limit: 40_000 },
    ]);
  }
  // graphql-js refuses circles itself, as an invalid document.
  expect((await app.query(circle)).status).toBe(400);
});
