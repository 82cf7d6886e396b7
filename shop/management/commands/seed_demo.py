"""Demo data: courses, campaigns, buyers and a staff member.

Idempotent: it adds what is missing.
"""

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from shop import clock
from shop.domain import ledger
from shop.models import Account, Category, Coupon, Course, PricePolicy
from shop.states import CouponScope, CouponType, CourseStatus, CourseType

Period = PricePolicy.Period

CATEGORIES = (
    ("Python 与后端", "从第一个程序到能上线的服务"),
    ("数据与存储", "数据库、缓存与数据分析"),
    ("前端", "浏览器里看得见的一切"),
    ("系统与运维", "让程序一直跑下去"),
)
# name, category, brief, price of one month, three months, twelve months
COURSES = (
    ("Python 开发入门", 0, "从零写出第一个能用的程序", "99.00", "199.00", "399.00"),
    ("Django 框架与 ORM 剖析", 0, "读懂框架，写对查询", "129.00", "269.00", "599.00"),
    ("Django REST framework 实战", 0, "设计人人会用的接口", "119.00", "249.00", "549.00"),
    ("Celery 分布式任务", 0, "丢不掉、重不了的后台任务", "89.00", "179.00", "369.00"),
    ("Redis 从用到懂", 1, "数据结构、持久化与高可用", "79.00", "159.00", "329.00"),
    ("PostgreSQL 事务与锁", 1, "并发下的正确性", "109.00", "219.00", "499.00"),
    ("支付系统设计", 0, "一分钱都不能差", "199.00", "399.00", "899.00"),
    ("前端三件套", 2, "HTML、CSS 与 JavaScript", "59.90", "129.90", "259.90"),
    ("Vue 组件化开发", 2, "从组件到应用", "99.00", "209.00", "429.00"),
    ("Linux 运维基础", 3, "命令行、服务与排障", "69.00", "149.00", "299.00"),
    ("数据分析与可视化", 1, "让数据自己说话", "89.90", "189.90", "389.90"),
    ("算法与数据结构", 0, "想清楚再写", "99.00", "199.00", "419.00"),
)
# Syllabi by course name; chapters begin with #. Courses without one show how that looks.
SYLLABI = {
    "Python 开发入门": (
        "# 准备\n安装与第一个程序\n变量、类型与运算\n# "
        "组织代码\n分支与循环\n函数与模块\n# 做一个真东西\n读写文件\n命令行记账本"
    ),
    "Celery 分布式任务": (
        "# 任务与队列\n为什么不在请求里做\n消息、确认与重投\n# "
        "丢不掉\n先写库，再发消息\n扫描补发\n# 重不了\n幂等的任务\n加锁与版本号"
    ),
    "Redis 从用到懂": (
        "# 数据结构\n字符串、哈希与有序集合\n过期与淘汰\n# 持久化\nRDB 与 AOF\n# "
        "高可用\n复制与哨兵\n集群与分片"
    ),
    "PostgreSQL 事务与锁": (
        "# 事务\n隔离级别看得见的差别\n约束就是规则\n# 锁\n行锁与死锁\n加锁的顺序\n# 索引\n读懂执行计划"
    ),
    "支付系统设计": (
        "# 钱从哪里来\n签名与验签\n异步通知\n# "
        "状态不明时\n查询、关闭与退款\n迟到和重复的付款\n# 对账\n复式记账\n日终账单"
    ),
}
DEGREE = "全栈工程师学位"
MEMBERSHIP = "VIP 会员"
BUYERS = (("buyer1", 200), ("buyer2", 1000), ("buyer3", 0))
STAFF = "operator"


class Command(BaseCommand):
    help = "Adds demo courses, coupons, three buyers with 贝里 and a member of staff. Idempotent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--password",
            default=os.environ.get("DEMO_PASSWORD"),
            help="for the demo accounts; default: $DEMO_PASSWORD",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["password"] or len(options["password"]) < 10:
            raise CommandError(
                "Give the demo accounts a password of at least 10 characters: --password or DEMO_PASSWORD."
            )
        now = clock.now()
        with transaction.atomic():
            today = clock.shanghai_date(now)
            seed_campaigns(seed_courses(today=today), today=today)
        # Outside the transaction, which must not idle while passwords are hashed: that takes seconds on a
        # slow machine.
        seed_accounts(options["password"], now=now)
        self.stdout.write(
            f"{Course.objects.count()} courses, {Coupon.objects.count()} campaigns, "
            f"{Account.objects.count()} accounts"
        )


def seed_courses(*, today: date) -> list[Course]:
    """Creates courses on sale with three price policies each, a degree, a membership with a course for
    members, and two hidden courses. Returns those on sale.
    """
    shelves = [
        Category.objects.get_or_create(name=name, defaults={"brief": brief, "position": position})[0]
        for position, (name, brief) in enumerate(CATEGORIES, start=1)
    ]
    courses = []
    for position, (name, shelf, brief, *prices) in enumerate(COURSES, start=1):
        course = _course(name, position, brief=brief, category=shelves[shelf], syllabus=SYLLABI.get(name, ""))
        _price(course, dict(zip((Period.MONTH_1, Period.MONTH_3, Period.MONTH_12), prices, strict=True)))
        courses.append(course)
    degree = _course(
        DEGREE, 13, brief="十二个月，从零到能独立交付", category=shelves[0], course_type=CourseType.DEGREE,
        cover=2,
        starts_on=today + timedelta(days=30), syllabus=("# 第一阶段\nPython 与算法\n# 第二阶段\nWeb "
                                                       "后端与数据库\n# 第三阶段\n前端与部署\n毕业项目"),
    )  # fmt: skip
    _price(degree, {Period.MONTH_12: "6800.00", Period.MONTH_18: "8800.00"})
    membership = _course(
        MEMBERSHIP, 14, brief="会员期内，VIP 专享课程随便看", course_type=CourseType.MEMBERSHIP, cover=7
    )
    _price(membership, {Period.MONTH_1: "59.00", Period.MONTH_12: "588.00"})
    _course(
        "VIP 专享：架构师直播",
        15,
        brief="每月一场，拆一个真实系统",
        category=shelves[0],
        course_type=CourseType.VIP_ONLY,
        cover=12,
    )
    for name, status in (("旧版爬虫课程", CourseStatus.OFFLINE), ("大模型应用开发", CourseStatus.PRESALE)):
        _price(_course(name, 90, status=status, cover=12), {Period.MONTH_1: "99.00"})
    return courses


def _course(name: str, position: int, *, cover: int | None = None, **fields: Any) -> Course:
    image = f"/static/shop/covers/{cover or position:02}.svg"
    defaults = {"position": position, "course_img": image, "status": CourseStatus.ONLINE, **fields}
    return Course.objects.get_or_create(name=name, defaults=defaults)[0]


def _price(course: Course, prices: Mapping[PricePolicy.Period, str]) -> None:
    for period, price in prices.items():
        PricePolicy.objects.get_or_create(
            course=course, valid_period=period, defaults={"price": Decimal(price)}
        )


def seed_campaigns(courses: list[Course], *, today: date) -> None:
    """Creates campaigns of every type and scope, with absolute and relative validity; some have ended or
    haven't begun yet.
    """
    year = timedelta(days=365)
    ago, ahead = today - timedelta(days=30), today + timedelta(days=30)
    open_now = {"open_date": ago, "close_date": today + year, "quantity": 10_000}
    absolute = {"valid_begin_date": ago, "valid_end_date": today + year}
    fixed = {"coupon_type": CouponType.FIXED}
    threshold = {"coupon_type": CouponType.THRESHOLD}
    percent = {"coupon_type": CouponType.PERCENT}
    campaigns: dict[str, dict[str, Any]] = {
        "开学季全场券": {**threshold, "minimum_consume": 100, "money_equivalent_value": 20, **open_now,
            **absolute},
        "新人立减": {**fixed, "money_equivalent_value": 10, **open_now, "coupon_valid_days": 7},
        "全场九折": {**percent, "off_percent": 90, **open_now, **absolute, "coupon_valid_days": 30},
        "Python 入门 7.9 折": {**percent, "off_percent": 79, "scope": CouponScope.COURSE,
            "course": courses[0], **open_now, **absolute},
        "支付课满减": {
            **threshold, "minimum_consume": 199, "money_equivalent_value": 50, "scope": CouponScope.COURSE,
            "course": courses[6], **open_now, **absolute,
        },
        "Redis 立减": {**fixed, "money_equivalent_value": 15, "scope": CouponScope.COURSE,
            "course": courses[4], **open_now, "coupon_valid_days": 14},
        "任选一课 8.5 折": {**percent, "off_percent": 85, "scope": CouponScope.ANY_COURSE, **open_now,
            **absolute},
        "限量抢购券": {**fixed, "money_equivalent_value": 50, **open_now, **absolute, "quantity": 5},
        "去年双十一": {
            **threshold, "minimum_consume": 300, "money_equivalent_value": 100, "open_date": ago - year,
            "close_date": today - year,
            "valid_begin_date": ago - year, "valid_end_date": today - year, "quantity": 100,
        },
        "下月生效满减": {
            **threshold, "minimum_consume": 200, "money_equivalent_value": 40, **open_now,
            "valid_begin_date": ahead, "valid_end_date": ahead + year,
        },
        "下月开抢": {**fixed, "money_equivalent_value": 30, "open_date": ahead, "close_date": ahead + year,
            "coupon_valid_days": 30, "quantity": 100},
    }  # fmt: skip
    for name, fields in campaigns.items():
        Coupon.objects.get_or_create(name=name, defaults={"scope": CouponScope.ORDER, **fields})


def seed_accounts(password: str, *, now: datetime) -> None:
    """Creates three buyers with 贝里 and one staff member; resets a changed password."""
    for username, beili in BUYERS:
        account = _account(username, password)
        if beili:
            ledger.grant_beili(
                account=account, amount=beili, key=f"seed:{username}", memo="演示发放", now=now
            )
    staff = _account(STAFF, password)
    if not staff.is_superuser:
        Account.objects.filter(pk=staff.pk).update(is_staff=True, is_superuser=True)


def _account(username: str, password: str) -> Account:
    account, _ = Account.objects.get_or_create(username=username)
    if not account.check_password(password):
        account.set_password(password)
        account.save(update_fields=["password"])
    return account
