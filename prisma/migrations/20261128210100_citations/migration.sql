-- CreateTable
CREATE TABLE "citations" (
    "tenant_id" TEXT NOT NULL,
    "message_id" UUID NOT NULL,
    "index" INTEGER NOT NULL,
    "document_id" UUID,
    "title" TEXT NOT NULL,
    "url" TEXT,
    "quote" TEXT NOT NULL,
    "position" INTEGER NOT NULL,

    CONSTRAINT "citations_pkey" PRIMARY KEY ("tenant_id","message_id","index")
);

-- AddForeignKey
ALTER TABLE "citations" ADD CONSTRAINT "citations_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand.

ALTER TABLE "citations"
    ADD CONSTRAINT "citations_numbers" CHECK ("index" > 0 AND "position" > 0),
    ADD CONSTRAINT "citations_quote" CHECK (length("quote") <= 300);
