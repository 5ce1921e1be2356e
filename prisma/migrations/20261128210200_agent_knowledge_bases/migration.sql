-- CreateTable
CREATE TABLE "agent_knowledge_bases" (
    "tenant_id" TEXT NOT NULL,
    "agent_id" UUID NOT NULL,
    "knowledge_base_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,

    CONSTRAINT "agent_knowledge_bases_pkey" PRIMARY KEY ("tenant_id","agent_id","knowledge_base_id")
);

-- CreateIndex
CREATE INDEX "agent_knowledge_bases_tenant_id_knowledge_base_id_idx" ON "agent_knowledge_bases"("tenant_id", "knowledge_base_id");

-- AddForeignKey
ALTER TABLE "agent_knowledge_bases" ADD CONSTRAINT "agent_knowledge_bases_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "agent_knowledge_bases" ADD CONSTRAINT "agent_knowledge_bases_tenant_id_knowledge_base_id_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id") REFERENCES "knowledge_bases"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
