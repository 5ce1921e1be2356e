-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "died_count" INTEGER NOT NULL DEFAULT 0;

-- Until now, hand-overs and deaths were counted together. Runs that exist start from none: to go on once more costs less than to
-- end one that nothing has died of.
ALTER TABLE "runs"
    ADD CONSTRAINT "runs_died_count_within_resumed_count" CHECK ("died_count" BETWEEN 0 AND "resumed_count");
