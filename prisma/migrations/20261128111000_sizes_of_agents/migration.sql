-- The size of an agent in bytes, computed by the database, like those of messages and tool calls.
ALTER TABLE "agents" ADD COLUMN "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
    octet_length("instructions") + coalesce(octet_length("description"), 0) + coalesce(octet_length("llm"::text), 0)
    + coalesce(octet_length("tts"::text), 0) + coalesce(octet_length("stt"::text), 0)
) STORED;
