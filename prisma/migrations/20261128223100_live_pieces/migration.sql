-- CreateTable
CREATE TABLE "run_pieces" (
    "run_id" UUID NOT NULL,
    "epoch" INTEGER NOT NULL,
    "last_seq" INTEGER NOT NULL,
    "after_seq" INTEGER NOT NULL,
    "events" TEXT NOT NULL,

    CONSTRAINT "run_pieces_pkey" PRIMARY KEY ("run_id","epoch","last_seq")
);

-- CreateTable
CREATE TABLE "run_followers" (
    "run_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "run_followers_pkey" PRIMARY KEY ("run_id")
);

-- AddForeignKey
ALTER TABLE "run_pieces" ADD CONSTRAINT "run_pieces_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run_followers" ADD CONSTRAINT "run_followers_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
