-- AlterEnum
ALTER TYPE "ToolCallStatus" ADD VALUE 'UNKNOWN';
