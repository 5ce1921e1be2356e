-- CreateTable
CREATE TABLE "context_snapshots" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "block" TEXT NOT NULL,
    "nonce" TEXT NOT NULL,
    "truncated" BOOLEAN NOT NULL,
    "redactions" INTEGER NOT NULL,
    "references" JSONB NOT NULL DEFAULT '{}',
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "context_snapshots_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "context_snapshots_tenant_id_user_id_created_at_id_idx" ON "context_snapshots"("tenant_id", "user_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "context_snapshots_expires_at_idx" ON "context_snapshots"("expires_at");

-- AddForeignKey
ALTER TABLE "context_snapshots" ADD CONSTRAINT "context_snapshots_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The bounds of context/assemble.ts, with room: no row is larger, whoever writes it.
ALTER TABLE "context_snapshots"
  ADD CONSTRAINT "context_snapshots_block_check" CHECK (char_length("block") <= 50000),
  ADD CONSTRAINT "context_snapshots_nonce_check" CHECK ("nonce" ~ '^[0-9a-f]{32}$'),
  ADD CONSTRAINT "context_snapshots_redactions_check" CHECK ("redactions" >= 0),
  ADD CONSTRAINT "context_snapshots_references_check" CHECK (jsonb_typeof("references") = 'object'),
  ADD CONSTRAINT "context_snapshots_expires_at_check" CHECK ("expires_at" > "created_at");
