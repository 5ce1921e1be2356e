-- AlterTable
ALTER TABLE "secrets" ADD COLUMN     "knowledge_base_id" UUID;

-- CreateIndex
CREATE UNIQUE INDEX "secrets_knowledge_base_id_name_key" ON "secrets"("knowledge_base_id", "name");

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_knowledge_base_id_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id") REFERENCES "knowledge_bases"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand. A secret belongs to exactly one owner: of which kinds there are, other migrations decide as well.
DO $$
DECLARE
  owners text;
BEGIN
  SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) INTO owners
  FROM information_schema.columns
  WHERE table_schema = current_schema() AND table_name = 'secrets'
    AND column_name IN ('agent_id', 'tool_id', 'mcp_server_id', 'webhook_id', 'knowledge_base_id');
  ALTER TABLE "secrets" DROP CONSTRAINT "secrets_one_owner";
  EXECUTE format('ALTER TABLE "secrets" ADD CONSTRAINT "secrets_one_owner" CHECK (num_nonnulls(%s) = 1)', owners);
END $$;
