/** What is put around the snippets: pages that call them. `usage` is the snippet that renders a turn. */
export const pages = {
  apollo: (usage: string) => `
    import { ask, openClient, startConversation } from './apollo';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  urql: (usage: string) => `
    import { ask, openClient, startConversation } from './urql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  'urql-over-sse': (usage: string) => `
    import { ask, startConversation } from './urql';
    import { openClient } from './urql-sse';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  'apollo-over-sse': (usage: string) => `
    import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
    import { OperationTypeNode } from 'graphql';
    import { ask, startConversation } from './apollo';
    import { createSseLink } from './apollo-sse';
    import fragments from './generated/possible-types';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const openClient = (url: string, getToken: () => Promise<string>) => new ApolloClient({
      link: ApolloLink.split(
        ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
        createSseLink(url, getToken),
        new HttpLink({ uri: url, headers: { authorization: \`Bearer \${token}\` } }),
      ),
      cache: new InMemoryCache({ possibleTypes: fragments.possibleTypes }),
    });
    ${usage}`,
  relay: (usage: string) => `
    import { ask, openEnvironment, startConversation } from './relay';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage.replace('openClient', 'openEnvironment')}`,
  // One tab with a normalised cache that only viewerEvents keep in step, and another tab that does things.
  graphcache: () => `
    import { createClient } from 'graphql-ws';
    import { Client, fetchExchange, gql, subscriptionExchange } from 'urql';
    import { ask, startConversation } from './urql';
    import { ApproveToolCallDocument, ConversationListDocument, OpenConversationDocument, ViewerEventsDocument } from './generated/graphql';
    import { subscribeAndResume } from './resume';
    import { graphcache } from './urql-graphcache';
    declare const token: string;
    const url = 'http://127.0.0.1:4000/graphql';
    const headers = { authorization: \`Bearer \${token}\` };
    const steps: string[] = [];
    let requests = 0;
    let online = Promise.resolve();
    const open = (onRequest: () => void, exchange: ReturnType<typeof graphcache>) => {
      const socket = createClient({
        url: url.replace(/^http/, 'ws'),
        connectionParams: headers,
        retryAttempts: 1000,
        retryWait: () => online,
        shouldRetry: () => true,
      });
      const client = new Client({
        url,
        preferGetMethod: false,
        fetchOptions: { headers },
        fetch: (input, init) => { onRequest(); return fetch(input, init); },
        exchanges: [
          exchange,
          fetchExchange,
          subscriptionExchange({
            forwardSubscription: ({ query = '', variables }) => ({
              subscribe: (sink) => ({ unsubscribe: subscribeAndResume(socket, { query, variables }, sink) }),
            }),
          }),
        ],
      });
      return { client, socket };
    };
    const { client, socket } = open(() => { requests++; }, graphcache());
    const { client: other } = open(() => {}, graphcache());
    const run = async (document: string, variables: object) => {
      const { data, error } = await other.mutation(gql(document), variables);
      if (error) throw error;
      return data;
    };

    type Policy = 'cache-only' | 'network-only';
    const listOf = async (from: Client, requestPolicy: Policy) => {
      const { data } = await from.query(ConversationListDocument, {}, { requestPolicy });
      const nodes = (data?.conversations.edges ?? []).map(({ node }) => node);
      return JSON.stringify(nodes.sort((a, b) => a.updatedAt < b.updatedAt ? 1 : -1));
    };
    const openedOf = async (from: Client, id: string, requestPolicy: Policy) =>
      JSON.stringify((await from.query(OpenConversationDocument, { id }, { requestPolicy })).data?.conversation?.messages.edges.map(({ node }) => node))
      + JSON.stringify((await from.query(OpenConversationDocument, { id }, { requestPolicy })).data?.conversation?.activeAgent);
    // Waits until what is cached equals a fresh read of the other tab.
    const compare = async (step: string, id: string | null) => {
      let [cached, fresh] = ['', ''];
      for (let tries = 0; tries < 200; tries++) {
        cached = await listOf(client, 'cache-only') + (id ? await openedOf(client, id, 'cache-only') : '');
        fresh = await listOf(other, 'network-only') + (id ? await openedOf(other, id, 'network-only') : '');
        if (cached === fresh) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      steps.push(cached === fresh ? step : \`\${step}: \${cached} IS NOT \${fresh}\`);
    };
    const turn = (id: string, content: string, on?: (event: { __typename: string; runId: string }) => void) =>
      new Promise<void>((resolve) => {
        ask(other, id, content, (event) => {
          on?.(event);
          if (/^Run(Completed|Cancelled|Failed)$/.test(event.__typename)) resolve();
        });
      });

    const { data } = await client.query(ConversationListDocument, {});
    client.subscription(ViewerEventsDocument, { after: data?.viewer.lastEventSeq }).subscribe(() => {});
    const id = await startConversation(other, 'support');
    await compare('created', null);
    await client.query(OpenConversationDocument, { id }).toPromise();
    const before = requests;
    await turn(id, 'Where is my order 1042?');
    await compare('handoff, tool and text', id);

    let goOnline = () => {};
    online = new Promise((resolve) => { goOnline = resolve; });
    socket.terminate();
    await run('mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Renamed" }) { id } }', { id });
    await run('mutation ($id: ID!) { createMessage(input: { conversationId: $id, role: SYSTEM, content: "note" }) { id } }', { id });
    goOnline();
    await compare('renamed and written to while offline', id);

    await turn(id, 'Please refund order 1046', (event) => {
      if (event.__typename !== 'ApprovalRequested' || !('toolCall' in event)) return;
      const { id: toolCallId } = event.toolCall as { id: string };
      void other.mutation(ApproveToolCallDocument, { runId: event.runId, toolCallId, approve: true }).toPromise();
    });
    await compare('approved in another tab', id);

    await turn(id, 'Tell me everything about all of my orders', ({ __typename, runId }) => {
      if (__typename === 'TextDelta') void run('mutation ($runId: ID!) { cancelRun(id: $runId) { id } }', { runId });
      // Cut at each event.
      socket.terminate();
    });
    await compare('cancelled, with the socket cut at every event', id);

    await run('mutation ($id: ID!) { deleteConversation(id: $id) }', { id });
    await compare('deleted in another tab', null);
    document.body.textContent = [...steps, \`\${requests - before} requests\`].join('; ');
  `,
  refund: () => `
    import { ask, openClient, startConversation } from './apollo';
    import { ApproveToolCallDocument } from './generated/graphql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const client = openClient('http://127.0.0.1:4000/graphql', async () => token);
    const conversationId = await startConversation(client, 'support');
    const texts = new Map<string, string>();
    const events: string[] = [];
    ask(client, conversationId, 'Please refund order 1046', (event) => {
      events.push(event.__typename);
      if (event.__typename === 'TextDelta' || event.__typename === 'TextRetracted') applyText(texts, event);
      if (event.__typename === 'ApprovalRequested') {
        const variables = { toolCallId: event.toolCall.id, approve: true };
        void client.mutate({ mutation: ApproveToolCallDocument, variables });
      }
      document.body.textContent = [...events.filter((name) => name !== 'TextDelta'), ...texts.values()].join(' ');
    });`,
  reload: () => `
    import { ask, openClient, startConversation } from './apollo';
    import { OpenConversationDocument, RunEventsDocument } from './generated/graphql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const open = () => openClient('http://127.0.0.1:4000/graphql', async () => token);
    const client = open();
    const conversationId = await startConversation(client, 'support');
    // As soon as the turn writes, another page opens the conversation, and the first one stops listening.
    let isReloaded = false;
    const first = ask(client, conversationId, 'Where is my order 1042?', (event) => {
      if (event.__typename !== 'TextDelta' || isReloaded) return;
      isReloaded = true;
      first.unsubscribe();
      void readOn(open());
    });
    async function readOn(again: ReturnType<typeof open>) {
      const { data } = await again.query({ query: OpenConversationDocument, variables: { id: conversationId } });
      const messages = data?.conversation?.messages.edges.map(({ node }) => node) ?? [];
      const texts = new Map(messages.filter(({ role }) => role === 'ASSISTANT').map(({ id, content }) => [id, content]));
      const run = data?.conversation?.activeRun;
      const show = (end: string) => { document.body.textContent = [...texts.values(), end].join(' '); };
      if (!run) return show('ENDED');
      const variables = { runId: run.id, after: run.lastSeq };
      again.subscribe({ query: RunEventsDocument, variables }).subscribe(({ data }) => {
        const event = data?.runEvents;
        if (event?.__typename === 'TextDelta' || event?.__typename === 'TextRetracted') applyText(texts, event);
        show(event?.__typename === 'RunCompleted' ? 'ENDED' : '');
      });
    }`,
} as const;
