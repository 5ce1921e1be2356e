-- The few documents that wait to be indexed: those without a job are looked for among them.
CREATE INDEX "knowledge_documents_unfinished" ON "knowledge_documents" ("id") WHERE "status" IN ('QUEUED', 'INDEXING');
