-- AlterTable
ALTER TABLE "attachments" ADD COLUMN     "object_key" TEXT;

-- CreateTable
CREATE TABLE "deleted_objects" (
    "tenant_id" TEXT NOT NULL,
    "object_key" TEXT NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "deleted_objects_pkey" PRIMARY KEY ("object_key")
);

-- CreateIndex
CREATE INDEX "deleted_objects_due_at_idx" ON "deleted_objects"("due_at");

-- By hand. Whatever deletes attachments, their objects are deleted after them. An upload that is not finished may still be on its way
-- to the store: its object is deleted when it must have arrived.
CREATE FUNCTION note_deleted_objects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO deleted_objects (tenant_id, object_key, due_at)
    SELECT tenant_id, object_key, now() + CASE WHEN conversation_id IS NULL THEN interval '10 minutes' ELSE interval '0' END
    FROM gone WHERE object_key IS NOT NULL
    ON CONFLICT (object_key) DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER attachments_note_objects AFTER DELETE ON attachments
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_objects();

ALTER TABLE "attachments" ADD CONSTRAINT "attachments_object_key_check" CHECK (char_length("object_key") BETWEEN 1 AND 255);
