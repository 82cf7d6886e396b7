"""The usual roles of staff, as groups with permissions.

Nobody's role lets them make staff, set a password or change a role.
"""

from django.contrib.auth.models import Group, Permission

_LOOK = (
    "shop.view_account", "shop.view_category", "shop.view_course", "shop.view_pricepolicy",
    "shop.view_coupon", "shop.view_couponrecord",
    "shop.view_orderrequest", "shop.view_order", "shop.view_orderline", "shop.view_orderevent",
    "shop.view_enrolment", "shop.view_ledgertransfer",
    "shop.view_couponcode",
    "payments.view_payment", "payments.view_notification", "payments.view_refund", "payments.view_refundline",
    "payments.view_bill", "payments.view_billdifference",
)  # fmt: skip
ROLES: dict[str, tuple[str, ...]] = {
    # Support: sees everything, requests refunds, cancels orders, moves deadlines, has the gateway queried and
    # given-up work retried, and ends all logins (of a lost phone, say).
    "客服": (
        *_LOOK, "payments.add_refund", "payments.ask_gateway", "shop.cancel_order", "shop.move_deadline",
        "shop.pick_up_work",
        "shop.end_logins",
    ),
    # Finance: decides about money, and about what is worth money.
    "财务": (
        *_LOOK, "payments.change_refund", "payments.change_notification", "payments.change_payment",
        "payments.ask_gateway", "payments.change_billdifference",
        "payments.export_books", "shop.pick_up_work", "shop.adjust_beili", "shop.give_coupon",
        "shop.grant_access", "shop.revoke_access",
        "admin.view_logentry",
    ),
    # Shop manager: maintains what is sold, and its prices.
    "店长": (
        *_LOOK, "shop.add_category", "shop.change_category", "shop.delete_category", "shop.add_course",
        "shop.change_course",
        "shop.add_pricepolicy", "shop.change_pricepolicy", "shop.delete_pricepolicy",
        "shop.add_coupon", "shop.change_coupon", "shop.delete_coupon", "shop.make_codes",
        "admin.view_logentry",
    ),
}  # fmt: skip


def ensure_roles() -> list[str]:
    """Creates missing roles and grants each role its missing permissions; revokes none.

    Returns the names of the roles that it created.

    Raises:
        Permission.DoesNotExist: the tables are older than this program.
    """
    made = []
    for name, wanted in ROLES.items():
        group, is_new = Group.objects.get_or_create(name=name)
        group.permissions.add(*map(_permission, wanted))
        made += [name] if is_new else []
    return made


def _permission(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
