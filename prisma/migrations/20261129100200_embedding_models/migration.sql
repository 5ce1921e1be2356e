-- CreateTable
CREATE TABLE "embedding_models" (
    "tenant_id" TEXT NOT NULL,
    "model_key" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "probe" DOUBLE PRECISION[],
    "used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "embedding_models_pkey" PRIMARY KEY ("tenant_id","model_key","version")
);

-- AddForeignKey
ALTER TABLE "embedding_models" ADD CONSTRAINT "embedding_models_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;
