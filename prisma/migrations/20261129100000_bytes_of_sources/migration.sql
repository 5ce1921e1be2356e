-- The bytes of the sources that a base keeps: what a tenant may store is checked against them.
ALTER TABLE "knowledge_bases" ADD COLUMN     "source_bytes" BIGINT NOT NULL DEFAULT 0;

-- By hand. Whoever writes or deletes parts changes the row of their base in the same transaction, once for a statement.
CREATE FUNCTION count_knowledge_source_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE knowledge_bases AS b SET source_bytes = b.source_bytes + changed.bytes
  FROM (
    SELECT tenant_id, knowledge_base_id,
      sum(CASE TG_OP WHEN 'INSERT' THEN octet_length(data) ELSE -octet_length(data) END) AS bytes
    FROM parts GROUP BY tenant_id, knowledge_base_id
  ) AS changed
  WHERE b.tenant_id = changed.tenant_id AND b.id = changed.knowledge_base_id;
  RETURN NULL;
END $$;
CREATE TRIGGER knowledge_source_parts_count AFTER INSERT ON knowledge_source_parts
    REFERENCING NEW TABLE AS parts FOR EACH STATEMENT EXECUTE FUNCTION count_knowledge_source_bytes();
CREATE TRIGGER knowledge_source_parts_uncount AFTER DELETE ON knowledge_source_parts
    REFERENCING OLD TABLE AS parts FOR EACH STATEMENT EXECUTE FUNCTION count_knowledge_source_bytes();

UPDATE knowledge_bases AS b SET source_bytes = counted.bytes
FROM (
  SELECT tenant_id, knowledge_base_id, sum(octet_length(data)) AS bytes
  FROM knowledge_source_parts GROUP BY tenant_id, knowledge_base_id
) AS counted
WHERE b.tenant_id = counted.tenant_id AND b.id = counted.knowledge_base_id;

ALTER TABLE "knowledge_bases" ADD CONSTRAINT "knowledge_bases_source_bytes_not_negative" CHECK ("source_bytes" >= 0);
