"""The ledger and the timeline can't be edited: what happened stays written."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION shop_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON shop_ledgertransfer FOR EACH ROW EXECUTE FUNCTION shop_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON shop_orderevent FOR EACH ROW EXECUTE FUNCTION shop_refuse_change();
"""
BACKWARD = """
DROP TRIGGER append_only ON shop_orderevent;
DROP TRIGGER append_only ON shop_ledgertransfer;
DROP FUNCTION shop_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
