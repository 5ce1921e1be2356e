-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "lease_epoch" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "reserved_seq" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "resumed_count" INTEGER NOT NULL DEFAULT 0;

-- Readers of runs that a former version carries out may have been given any seq below this one.
UPDATE "runs" SET "reserved_seq" = 1000000 WHERE "status" = 'RUNNING';

ALTER TABLE "runs"
    ADD CONSTRAINT "runs_lease_epoch_not_negative" CHECK ("lease_epoch" >= 0),
    ADD CONSTRAINT "runs_reserved_seq_not_negative" CHECK ("reserved_seq" >= 0),
    ADD CONSTRAINT "runs_resumed_count_not_negative" CHECK ("resumed_count" >= 0);
