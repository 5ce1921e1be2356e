-- CreateTable
CREATE TABLE "attachment_user_bytes" (
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "attachment_user_bytes_pkey" PRIMARY KEY ("tenant_id","user_id")
);

-- CreateTable
CREATE TABLE "attachment_tenant_bytes" (
    "tenant_id" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "attachment_tenant_bytes_pkey" PRIMARY KEY ("tenant_id")
);

-- AddForeignKey
ALTER TABLE "attachment_user_bytes" ADD CONSTRAINT "attachment_user_bytes_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attachment_tenant_bytes" ADD CONSTRAINT "attachment_tenant_bytes_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand. The rows are changed in the statement that adds or deletes attachments, those of users before those of tenants, and each
-- in the order of their keys: two statements never wait for each other. Nothing else locks these rows.
CREATE FUNCTION count_attachment_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO attachment_user_bytes AS b (tenant_id, user_id, bytes)
    SELECT tenant_id, user_id, sum(size) FROM changed GROUP BY tenant_id, user_id ORDER BY tenant_id, user_id
    ON CONFLICT (tenant_id, user_id) DO UPDATE SET bytes = b.bytes + excluded.bytes;
  INSERT INTO attachment_tenant_bytes AS b (tenant_id, bytes)
    SELECT tenant_id, sum(size) FROM changed GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET bytes = b.bytes + excluded.bytes;
  RETURN NULL;
END $$;
CREATE FUNCTION uncount_attachment_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The statement of a foreign key deletes nothing most of the time.
  IF NOT EXISTS (SELECT FROM changed) THEN RETURN NULL; END IF;
  -- If the user or the tenant is being deleted, its row is gone already: then there is nothing to count.
  PERFORM FROM attachment_user_bytes AS b
    WHERE (b.tenant_id, b.user_id) IN (SELECT tenant_id, user_id FROM changed)
    ORDER BY b.tenant_id, b.user_id FOR NO KEY UPDATE;
  UPDATE attachment_user_bytes AS b SET bytes = b.bytes - gone.bytes
    FROM (SELECT tenant_id, user_id, sum(size) AS bytes FROM changed GROUP BY tenant_id, user_id) AS gone
    WHERE b.tenant_id = gone.tenant_id AND b.user_id = gone.user_id;
  PERFORM FROM attachment_tenant_bytes AS b
    WHERE b.tenant_id IN (SELECT tenant_id FROM changed) ORDER BY b.tenant_id FOR NO KEY UPDATE;
  UPDATE attachment_tenant_bytes AS b SET bytes = b.bytes - gone.bytes
    FROM (SELECT tenant_id, sum(size) AS bytes FROM changed GROUP BY tenant_id) AS gone
    WHERE b.tenant_id = gone.tenant_id;
  RETURN NULL;
END $$;
CREATE TRIGGER attachments_count AFTER INSERT ON attachments
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_attachment_bytes();
CREATE TRIGGER attachments_uncount AFTER DELETE ON attachments
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION uncount_attachment_bytes();

-- Nothing is added or deleted between the count and the triggers.
LOCK TABLE attachments IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO attachment_user_bytes (tenant_id, user_id, bytes)
  SELECT tenant_id, user_id, sum(size) FROM attachments GROUP BY tenant_id, user_id;
INSERT INTO attachment_tenant_bytes (tenant_id, bytes)
  SELECT tenant_id, sum(size) FROM attachments GROUP BY tenant_id;

ALTER TABLE "attachment_user_bytes" ADD CONSTRAINT "attachment_user_bytes_not_negative" CHECK ("bytes" >= 0);
ALTER TABLE "attachment_tenant_bytes" ADD CONSTRAINT "attachment_tenant_bytes_not_negative" CHECK ("bytes" >= 0);

-- The uploads of a user that no message has taken are counted one by one: there are not many.
CREATE INDEX attachments_waiting ON attachments (tenant_id, user_id) WHERE conversation_id IS NULL;
