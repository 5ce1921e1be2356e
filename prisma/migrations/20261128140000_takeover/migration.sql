-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "elapsed_ms" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "leased_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "messages" ADD COLUMN     "transfers" JSONB;

-- AlterTable
ALTER TABLE "tool_calls" ADD COLUMN     "transfers" JSONB;

-- CreateTable
CREATE TABLE "run_plans" (
    "run_id" UUID NOT NULL,
    "plan" TEXT NOT NULL,

    CONSTRAINT "run_plans_pkey" PRIMARY KEY ("run_id")
);

-- AddForeignKey
ALTER TABLE "run_plans" ADD CONSTRAINT "run_plans_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
