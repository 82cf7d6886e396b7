"""Disabling an account ends its logins for good, whoever disables it and however: enabling it again revives none."""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION shop_end_logins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM knox_authtoken WHERE user_id = OLD.id;
    NEW.login_generation := OLD.login_generation + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER disabling_ends_logins BEFORE UPDATE OF is_active ON shop_account
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION shop_end_logins();
"""
BACKWARD = """
DROP TRIGGER disabling_ends_logins ON shop_account;
DROP FUNCTION shop_end_logins();
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0007_books_of_external_refunds"), ("knox", "0009_extend_authtoken_field")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="login_generation",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False, verbose_name="登录批次"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
