-- An agent may have a JSON Schema of its answers, which is part of its size. JSON and not JSONB: models write the properties
-- in the order of the schema.
ALTER TABLE "agents" ADD COLUMN "output_schema" JSON;
ALTER TABLE "agents" DROP COLUMN "bytes";
ALTER TABLE "agents" ADD COLUMN "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
    octet_length("instructions") + coalesce(octet_length("description"), 0) + coalesce(octet_length("llm"::text), 0)
    + coalesce(octet_length("tts"::text), 0) + coalesce(octet_length("stt"::text), 0) + octet_length("guardrails"::text)
    + coalesce(octet_length("output_schema"::text), 0)
) STORED;

-- Beside the messages and not in them, so that this table need not be rewritten, and lists read nothing more.
CREATE TABLE "message_details" (
    "tenant_id" TEXT NOT NULL,
    "message_id" UUID NOT NULL,
    "data" JSON,
    "reasoning" TEXT,
    "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
        coalesce(octet_length("data"::text), 0) + coalesce(octet_length("reasoning"), 0)
    ) STORED,

    CONSTRAINT "message_details_pkey" PRIMARY KEY ("tenant_id","message_id")
);

ALTER TABLE "message_details" ADD CONSTRAINT "message_details_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "agents" ADD CONSTRAINT "agents_output_schema_object" CHECK (json_typeof("output_schema") = 'object');
