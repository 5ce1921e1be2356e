-- Of the requests to index a base again only the last one goes on, and each of its batches is done once.
ALTER TABLE "knowledge_bases" ADD COLUMN     "reindex_after" UUID,
ADD COLUMN     "reindex_request" INTEGER NOT NULL DEFAULT 0;
