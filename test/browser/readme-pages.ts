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
