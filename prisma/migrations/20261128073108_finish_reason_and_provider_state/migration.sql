-- CreateEnum
CREATE TYPE "FinishReason" AS ENUM ('STOP', 'LENGTH', 'FILTERED', 'CANCELLED', 'ERROR');

-- AlterTable
ALTER TABLE "messages" ADD COLUMN     "finish_reason" "FinishReason";

-- AlterTable
ALTER TABLE "tool_calls" ADD COLUMN     "provider_state" JSONB;
