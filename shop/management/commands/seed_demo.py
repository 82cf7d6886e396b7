"""Courses, campaigns, buyers and a member of staff to look around with. May run again and again: it adds what is missing."""

import os
from argparse import ArgumentParser
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from shop import clock
from shop.domain import ledger
from shop.models import Account, Coupon, Course, PricePolicy
from shop.states import CouponScope, CouponType, CourseStatus, CourseType

Period = PricePolicy.Period

# name, brief, price of one month, three months, twelve months
COURSES = (
    ("Python 开发入门", "从零写出第一个能用的程序", "99.00", "199.00", "399.00"),
    ("Django 框架与 ORM 剖析", "读懂框架，写对查询", "129.00", "269.00", "599.00"),
    ("Django REST framework 实战", "设计人人会用的接口", "119.00", "249.00", "549.00"),
    ("Celery 分布式任务", "丢不掉、重不了的后台任务", "89.00", "179.00", "369.00"),
    ("Redis 从用到懂", "数据结构、持久化与高可用", "79.00", "159.00", "329.00"),
    ("PostgreSQL 事务与锁", "并发下的正确性", "109.00", "219.00", "499.00"),
    ("支付系统设计", "一分钱都不能差", "199.00", "399.00", "899.00"),
    ("前端三件套", "HTML、CSS 与 JavaScript", "59.90", "129.90", "259.90"),
    ("Vue 组件化开发", "从组件到应用", "99.00", "209.00", "429.00"),
    ("Linux 运维基础", "命令行、服务与排障", "69.00", "149.00", "299.00"),
    ("数据分析与可视化", "让数据自己说话", "89.90", "189.90", "389.90"),
    ("算法与数据结构", "想清楚再写", "99.00", "199.00", "419.00"),
)
BUYERS = (("buyer1", 200), ("buyer2", 1000), ("buyer3", 0))
STAFF = "operator"


class Command(BaseCommand):
    help = "Adds demo courses, coupons, three buyers with 贝里 and a member of staff. Idempotent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", default=os.environ.get("DEMO_PASSWORD"), help="for the demo accounts; default: $DEMO_PASSWORD")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["password"] or len(options["password"]) < 10:
            raise CommandError("Give the demo accounts a password of at least 10 characters: --password or DEMO_PASSWORD.")
        now = clock.now()
        with transaction.atomic():
            courses = seed_courses()
            seed_campaigns(courses, today=clock.shanghai_date(now))
        # Outside: hashing passwords takes seconds on a slow machine, and a transaction must not idle for that long.
        seed_accounts(options["password"], now=now)
        self.stdout.write(f"{Course.objects.count()} courses, {Coupon.objects.count()} campaigns, {Account.objects.count()} accounts")


def seed_courses() -> list[Course]:
    """The courses on sale, each with three price policies, and three that can't be bought."""
    courses = []
    for position, (name, brief, *prices) in enumerate(COURSES, start=1):
        course, _ = Course.objects.get_or_create(
            name=name,
            defaults={
                "brief": brief,
                "position": position,
                "status": CourseStatus.ONLINE,
                "course_img": f"/static/shop/covers/{position:02}.svg",
            },
        )
        for period, price in zip((Period.MONTH_1, Period.MONTH_3, Period.MONTH_12), prices, strict=True):
            PricePolicy.objects.get_or_create(course=course, valid_period=period, defaults={"price": Decimal(price)})
        courses.append(course)
    for name, status, course_type in (
        ("旧版爬虫课程", CourseStatus.OFFLINE, CourseType.PAID),
        ("大模型应用开发", CourseStatus.PRESALE, CourseType.PAID),
        ("VIP 专享：架构师直播", CourseStatus.ONLINE, CourseType.VIP_ONLY),
    ):
        course, _ = Course.objects.get_or_create(
            name=name, defaults={"status": status, "course_type": course_type, "position": 90, "course_img": "/static/shop/covers/12.svg"}
        )
        PricePolicy.objects.get_or_create(course=course, valid_period=Period.MONTH_1, defaults={"price": Decimal("99.00")})
    return courses


def seed_campaigns(courses: list[Course], *, today: date) -> None:
    """Campaigns of every type and scope, with absolute and relative validity; some are over or haven't begun."""
    year = timedelta(days=365)
    ago, ahead = today - timedelta(days=30), today + timedelta(days=30)
    open_now = {"open_date": ago, "close_date": today + year, "quantity": 10_000}
    absolute = {"valid_begin_date": ago, "valid_end_date": today + year}
    fixed = {"coupon_type": CouponType.FIXED}
    threshold = {"coupon_type": CouponType.THRESHOLD}
    percent = {"coupon_type": CouponType.PERCENT}
    campaigns: dict[str, dict[str, Any]] = {
        "开学季全场券": {**threshold, "minimum_consume": 100, "money_equivalent_value": 20, **open_now, **absolute},
        "新人立减": {**fixed, "money_equivalent_value": 10, **open_now, "coupon_valid_days": 7},
        "全场九折": {**percent, "off_percent": 90, **open_now, **absolute, "coupon_valid_days": 30},
        "Python 入门 7.9 折": {**percent, "off_percent": 79, "scope": CouponScope.COURSE, "course": courses[0], **open_now, **absolute},
        "支付课满减": {
            **threshold, "minimum_consume": 199, "money_equivalent_value": 50, "scope": CouponScope.COURSE, "course": courses[6], **open_now, **absolute,
        },
        "Redis 立减": {**fixed, "money_equivalent_value": 15, "scope": CouponScope.COURSE, "course": courses[4], **open_now, "coupon_valid_days": 14},
        "任选一课 8.5 折": {**percent, "off_percent": 85, "scope": CouponScope.ANY_COURSE, **open_now, **absolute},
        "限量抢购券": {**fixed, "money_equivalent_value": 50, **open_now, **absolute, "quantity": 5},
        "去年双十一": {
            **threshold, "minimum_consume": 300, "money_equivalent_value": 100, "open_date": ago - year, "close_date": today - year,
            "valid_begin_date": ago - year, "valid_end_date": today - year, "quantity": 100,
        },
        "下月生效满减": {
            **threshold, "minimum_consume": 200, "money_equivalent_value": 40, **open_now, "valid_begin_date": ahead, "valid_end_date": ahead + year,
        },
        "下月开抢": {**fixed, "money_equivalent_value": 30, "open_date": ahead, "close_date": ahead + year, "coupon_valid_days": 30, "quantity": 100},
    }  # fmt: skip
    for name, fields in campaigns.items():
        Coupon.objects.get_or_create(name=name, defaults={"scope": CouponScope.ORDER, **fields})


def seed_accounts(password: str, *, now: datetime) -> None:
    """Three buyers with 贝里 and one member of staff. A changed password is set anew."""
    for username, beili in BUYERS:
        account = _account(username, password)
        if beili:
            ledger.grant_beili(account=account, amount=beili, key=f"seed:{username}", memo="演示发放", now=now)
    staff = _account(STAFF, password)
    if not staff.is_superuser:
        Account.objects.filter(pk=staff.pk).update(is_staff=True, is_superuser=True)


def _account(username: str, password: str) -> Account:
    account, _ = Account.objects.get_or_create(username=username)
    if not account.check_password(password):
        account.set_password(password)
        account.save(update_fields=["password"])
    return account
