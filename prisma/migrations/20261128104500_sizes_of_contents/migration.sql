-- The size of what a row holds, in bytes as UTF-8, computed by the database whenever the row is written. Lists are cut by
-- it before any contents are read. A stored column, because the size of a JSON column cannot be known without reading it.
-- Both tables are rewritten once: plan for it if they are large.
ALTER TABLE "messages" ADD COLUMN "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
    octet_length("content") + octet_length("attachments"::text) + coalesce(octet_length("routing_decision"::text), 0)
) STORED;
ALTER TABLE "tool_calls" ADD COLUMN "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
    octet_length("arguments") + coalesce(octet_length("edited_arguments"), 0) + coalesce(octet_length("result"::text), 0)
    + coalesce(octet_length("error"), 0) + coalesce(octet_length("provider_state"::text), 0)
) STORED;
