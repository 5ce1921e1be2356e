/** A tab of GraphiQL: what agents know. */
export const knowledgeDocument = `# What agents know. Every tenant begins with the base "Help centre": in the first tab, ask with a fresh idempotencyKey
# "How long can I return an unused item?", and the answer cites it. For a document of your own, create a base, insert its id
# below, add the document, and ask KnowledgeDocuments until it is READY, some seconds later. (KnowledgeEvents shows what changes
# while it is open: start it before the next document.) Then create the conversation, and pass its id to chatTurn in the
# first tab as conversationId, with a fresh idempotencyKey and the content "What is the office hamster called? And please open a
# ticket: clean the cage". Citations shows what the answer cites, and the next tab has the ticket.
query SearchKnowledge {
  searchKnowledge(query: "return an unused item", limit: 3) {
    title
    position
    quote
    score
    document { knowledgeBase { name } }
  }
}

mutation CreateKnowledgeBase {
  createKnowledgeBase(input: { name: "Handbook" }) {
    id
    searchModes
  }
}

mutation AddKnowledgeDocument {
  addKnowledgeDocument(
    input: {
      knowledgeBaseId: "kb_…"
      title: "Our hamster"
      text: "The office hamster is called Bertram. He sleeps in the printer room."
    }
  ) {
    id
    status
  }
}

query KnowledgeDocuments {
  knowledgeBases(last: 1) {
    edges { node { name documents(first: 10) { edges { node { title status error chunkCount } } } } }
  }
}

subscription KnowledgeEvents {
  knowledgeEvents(knowledgeBaseId: "kb_…") {
    title
    status
    progress
    error
    chunkCount
  }
}

mutation CreateAssistantConversation {
  createConversation(input: { title: "Knowledge", scenarioKey: "assistant" }) {
    id
  }
}

query Citations {
  conversations(first: 1) {
    edges { node { lastMessage { content citations { index title quote document { id } } } } }
  }
}
`;

/** A tab of GraphiQL: what a person picks up. */
export const ticketDocument = `# A ticket, which a person picks up. Agents open one with the tool create_ticket: create the conversation below, and
# pass its id to chatTurn as conversationId, with the content "Please open a ticket: the printer is on fire".
# Then Tickets lists it. UpdateTicket takes the id of a ticket; TicketEvents shows what happens from now on.
mutation CreateTicket {
  createTicket(input: { subject: "The printer is on fire", body: "It began this morning.", priority: HIGH }) {
    id
    number
    status
    priority
  }
}

mutation CreateAssistantConversation {
  createConversation(input: { title: "Tickets", scenarioKey: "assistant" }) {
    id
  }
}

query Tickets {
  tickets(first: 10, filter: { status: [OPEN, PENDING] }) {
    totalCount
    edges { node { id number subject status priority assignee createdByAgent { name } } }
  }
}

mutation UpdateTicket {
  updateTicket(id: "tkt_…", input: { status: SOLVED, assignee: "ada" }) {
    status
    history { field from to by }
  }
}

subscription TicketEvents {
  ticketEvents {
    __typename
    ... on TicketCreated { seq ticket { number subject } }
    ... on TicketUpdated { seq ticket { number status assignee } }
    ... on TicketCommented { seq comment { body author } }
  }
}
`;

/** A tab of GraphiQL: whom the tenant knows, and what is not finished. */
export const contactDocument = `# The persons whom your organisation knows, once each: a second contact with the same e-mail address is a CONFLICT that
# names the first. Agents save them too: create the conversation, and pass its id to chatTurn as conversationId, with the
# content "Please save my contact: my name is Bob Brown, bob@example.com", or "Save a draft: Dear Bob, it is on its way."
mutation CreateContact {
  createContact(input: { name: "Ada Lovelace", email: "ada@example.com", phone: "+44 20 7946 0958" }) {
    id
    name
    email
    phone
  }
}

mutation CreateAssistantConversation {
  createConversation(input: { title: "Contacts", scenarioKey: "assistant" }) {
    id
  }
}

query Contacts {
  contacts(first: 10) {
    totalCount
    edges { node { id name email phone tickets(first: 5) { totalCount } } }
  }
}

mutation SaveDraft {
  saveDraft(input: { conversationId: "conv_…", key: "reply", title: "A reply", content: { text: "Dear Ada," } }) {
    id
    version
  }
}

query Drafts {
  drafts(first: 10) {
    edges { node { key title version content } }
  }
}
`;
