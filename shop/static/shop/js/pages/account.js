import { get, post, put, requireLogin, useToken } from "../api.js";
import { notify, start } from "../dom.js";
import { onSubmit } from "../form.js";
import { t } from "../i18n.js";
import "../site.js";

const profile = document.getElementById("profile");
const password = document.getElementById("password-form");

async function load() {
  const known = await get("auth/profile/");
  profile.elements.email.value = known.email;
  profile.elements.phone.value = known.phone;
  document.getElementById("content").hidden = false;
}

onSubmit(profile, async (values) => {
  await put("auth/profile/", values);
  notify("good", t("已保存。"));
});

onSubmit(password, async (values) => {
  useToken(await post("auth/password/", values));
  password.reset();
  notify("good", t("密码已修改，其他设备上的登录已失效。"));
}, (slug) => (slug === "login_failed" ? "old_password" : null));

if (requireLogin()) start(load);
