# What `cmake --install` puts where. The search path in lib/unit looks for the units in /usr/lib/pidward, whatever the
# prefix is, as systemd does with its own.
install(TARGETS pidward pidwardctl pidward-init RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

configure_file(packaging/pidward.service.in ${PROJECT_BINARY_DIR}/pidward.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pidward.service DESTINATION lib/systemd/system)

install(DIRECTORY units/system/ DESTINATION lib/pidward/system)
install(DIRECTORY units/user/ DESTINATION lib/pidward/user)
install(DIRECTORY units/demo/ DESTINATION ${CMAKE_INSTALL_DATADIR}/pidward/demo)

install(FILES config/pidward.yaml DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/pidward)
install(DIRECTORY config/schema/ DESTINATION ${CMAKE_INSTALL_DATADIR}/pidward/schema)
install(FILES config/dbus/org.pidward1.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/dbus-1/system.d)
install(FILES config/polkit/org.pidward1.policy DESTINATION ${CMAKE_INSTALL_DATADIR}/polkit-1/actions)

install(FILES packaging/man/pidward.8 packaging/man/pidward-init.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES packaging/man/pidwardctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES packaging/man/pidward.yaml.5 packaging/man/pidward.directives.5 packaging/man/org.pidward1.5
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES packaging/completions/pidwardctl DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
